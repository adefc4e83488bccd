package edgedistill.bench.android;

import android.app.Activity;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.util.Log;
import android.view.WindowManager;
import android.widget.TextView;
import edgedistill.app.LiteRt;
import edgedistill.app.OnnxRuntime;
import edgedistill.app.SessionOpener;
import edgedistill.bench.Benchmark;
import edgedistill.bench.Progress;
import java.io.File;
import java.io.IOException;

/**
 * Runs one request in the foreground, as users run apps.
 *
 * <p>Extras: {@code request}, the name of a folder below the app's external files folder that holds request.json; and
 * {@code runtime}, onnx or tflite. The answer is result.json in the same folder.
 */
public final class BenchActivity extends Activity implements Progress {
    private static final String TAG = "edgedistill";
    private TextView view;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        view = new TextView(this);
        view.setPadding(32, 32, 32, 32);
        view.setFitsSystemWindows(true);
        setContentView(view);
        final String name = getIntent().getStringExtra("request");
        final String runtime = getIntent().getStringExtra("runtime");
        if (name == null || !name.matches("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")) {
            tell("Start it with: adb shell am start -S -W -n edgedistill.bench/.android.BenchActivity --es request NAME");
            return;
        }
        new Thread(new Runnable() {
            @Override
            public void run() {
                tell(answer(name, "tflite".equals(runtime) ? new LiteRt() : new OnnxRuntime()));
            }
        }, "edgedistill-bench").start();
    }

    private String answer(String name, SessionOpener opener) {
        File folder = new File(getExternalFilesDir(null), name);
        try {
            boolean isDone = new Benchmark(opener, new PhoneSensors(this), this)
                    .run(new File(folder, "request.json"), new File(folder, "result.json"));
            return isDone ? "done" : "failed: see result.json";
        } catch (IOException error) {
            return "failed: " + error.getMessage();
        }
    }

    @Override
    public void tell(final String line) {
        Log.i(TAG, line);
        new Handler(Looper.getMainLooper()).post(new Runnable() {
            @Override
            public void run() {
                view.setText(line);
            }
        });
    }
}
