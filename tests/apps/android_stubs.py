"""Signatures of the Android, AndroidX and LiteRT classes that the packages use, to compile against where no SDK is.

Written from the public API references; a method that is wrong here would be wrong in the packages too, so this finds
misspelt names, missing imports and wrong types among what is listed, and no more.
"""

from __future__ import annotations

from pathlib import Path

_CLASSES = {
    "android.content.Context": """public abstract class Context {
        public abstract Context getApplicationContext();
        public abstract android.content.res.AssetManager getAssets();
        public abstract java.io.File getFilesDir();
        public abstract java.io.File getExternalFilesDir(String type);
        public abstract Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter); }""",
    "android.content.BroadcastReceiver": "public abstract class BroadcastReceiver {}",
    "android.content.IntentFilter": "public class IntentFilter { public IntentFilter(String action) {} }",
    "android.content.Intent": """public class Intent {
        public static final String ACTION_BATTERY_CHANGED = "android.intent.action.BATTERY_CHANGED";
        public int getIntExtra(String name, int otherwise) { return otherwise; }
        public String getStringExtra(String name) { return null; } }""",
    "android.content.res.AssetManager": """public final class AssetManager {
        public static final int ACCESS_STREAMING = 2;
        public java.io.InputStream open(String name, int mode) throws java.io.IOException { return null; } }""",
    "android.app.Activity": """public class Activity extends android.content.Context {
        protected void onCreate(android.os.Bundle saved) {}
        public void setContentView(android.view.View view) {}
        public android.view.Window getWindow() { return null; }
        public android.content.Intent getIntent() { return null; }
        public android.content.Context getApplicationContext() { return null; }
        public android.content.res.AssetManager getAssets() { return null; }
        public java.io.File getFilesDir() { return null; }
        public java.io.File getExternalFilesDir(String type) { return null; }
        public android.content.Intent registerReceiver(
            android.content.BroadcastReceiver receiver, android.content.IntentFilter filter) { return null; } }""",
    "android.os.Bundle": "public final class Bundle {}",
    "android.os.Looper": "public final class Looper { public static Looper getMainLooper() { return null; } }",
    "android.os.Handler": """public class Handler {
        public Handler(Looper looper) {}
        public final boolean post(Runnable what) { return true; } }""",
    "android.os.BatteryManager": """public class BatteryManager {
        public static final String EXTRA_TEMPERATURE = "temperature"; }""",
    "android.os.Build": """public class Build {
        public static final String HARDWARE = "unknown"; public static final String FINGERPRINT = "unknown"; }""",
    "android.util.Log": "public final class Log { public static int i(String tag, String text) { return 0; } }",
    "android.view.View": """public class View {
        public void setPadding(int left, int top, int right, int bottom) {}
        public void setFitsSystemWindows(boolean fits) {} }""",
    "android.view.ViewGroup": "public abstract class ViewGroup extends View { public void addView(View child) {} }",
    "android.view.Window": "public abstract class Window { public void addFlags(int flags) {} }",
    "android.view.WindowManager": """public interface WindowManager {
        class LayoutParams { public static final int FLAG_KEEP_SCREEN_ON = 128; } }""",
    "android.widget.TextView": """public class TextView extends android.view.View {
        public TextView(android.content.Context context) {}
        public final void setText(CharSequence text) {}
        public void setTextIsSelectable(boolean selectable) {} }""",
    "android.widget.ScrollView": """public class ScrollView extends android.view.ViewGroup {
        public ScrollView(android.content.Context context) {} }""",
    "androidx.test.core.app.ApplicationProvider": """public final class ApplicationProvider {
        public static <T extends android.content.Context> T getApplicationContext() { return null; } }""",
    "org.tensorflow.lite.Interpreter": """public final class Interpreter implements AutoCloseable {
        public static class Options { public Options setNumThreads(int threads) { return this; } }
        public Interpreter(java.nio.ByteBuffer model, Options options) {}
        public void runSignature(
            java.util.Map<String, Object> inputs, java.util.Map<String, Object> outputs, String signature) {}
        public void close() {} }""",
    "ai.onnxruntime.OrtException": """public class OrtException extends Exception {
        private static final long serialVersionUID = 1L; }""",
    "ai.onnxruntime.OnnxValue": "public interface OnnxValue {}",
    "ai.onnxruntime.TensorInfo": "public class TensorInfo { public long[] getShape() { return null; } }",
    "ai.onnxruntime.OnnxTensor": """public class OnnxTensor implements OnnxValue, AutoCloseable {
        public TensorInfo getInfo() { return null; }
        public java.nio.FloatBuffer getFloatBuffer() { return null; }
        public static OnnxTensor createTensor(OrtEnvironment e, java.nio.FloatBuffer v, long[] s) throws OrtException {
            return null; }
        public static OnnxTensor createTensor(OrtEnvironment e, java.nio.IntBuffer v, long[] s) throws OrtException {
            return null; }
        public static OnnxTensor createTensor(OrtEnvironment e, java.nio.LongBuffer v, long[] s) throws OrtException {
            return null; }
        public void close() {} }""",
    "ai.onnxruntime.OrtEnvironment": """public class OrtEnvironment {
        public static OrtEnvironment getEnvironment() { return null; }
        public String getVersion() { return null; }
        public OrtSession createSession(byte[] model, OrtSession.SessionOptions o) throws OrtException { return null; }
        }""",
    "ai.onnxruntime.OrtSession": """public class OrtSession implements AutoCloseable {
        public static class SessionOptions implements AutoCloseable {
            public void setIntraOpNumThreads(int threads) throws OrtException {}
            public void setInterOpNumThreads(int threads) throws OrtException {}
            public void close() {} }
        public static class Result implements AutoCloseable, Iterable<java.util.Map.Entry<String, OnnxValue>> {
            public java.util.Iterator<java.util.Map.Entry<String, OnnxValue>> iterator() { return null; }
            public void close() {} }
        public Result run(java.util.Map<String, OnnxTensor> inputs) throws OrtException { return null; }
        public void close() throws OrtException {} }""",
}


def write_stubs(folder: Path) -> list[Path]:
    """One source file for each class."""
    written = []
    for name, body in _CLASSES.items():
        package, _, simple = name.rpartition(".")
        path = folder / package.replace(".", "/") / f"{simple}.java"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"package {package};\n{body}\n", encoding="utf-8")
        written.append(path)
    return written
