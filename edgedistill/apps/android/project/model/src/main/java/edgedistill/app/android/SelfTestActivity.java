package edgedistill.app.android;

import android.app.Activity;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.widget.ScrollView;
import android.widget.TextView;
import edgedistill.app.SelfTest;
import edgedistill.app.TextModel;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Runs the goldens on this phone, shows what came out and keeps it as {@code edgedistill-self-test.json}. */
public final class SelfTestActivity extends Activity {
    /** In the app's files folder. */
    public static final String RESULT = "edgedistill-self-test.json";

    private TextView view;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        view = new TextView(this);
        view.setTextIsSelectable(true);
        view.setPadding(32, 32, 32, 32);
        view.setText("Running the goldens ...");
        ScrollView scroll = new ScrollView(this);
        scroll.setFitsSystemWindows(true);
        scroll.addView(view);
        setContentView(scroll);
        new Thread(new Runnable() {
            @Override
            public void run() {
                show(answer());
            }
        }, "edgedistill-self-test").start();
    }

    private String answer() {
        try (TextModel model = BundledModel.open(this)) {
            SelfTest.Result result = SelfTest.run(model);
            keep(result.toJson());
            StringBuilder text = new StringBuilder(result.isPassed() ? "passed: " : "FAILED: ").append(result);
            for (String fault : result.faults()) {
                text.append("\n\n").append(fault);
            }
            return text.toString();
        } catch (IOException | RuntimeException error) {
            return "FAILED: " + error.getMessage();
        }
    }

    private void keep(String json) throws IOException {
        try (FileOutputStream out = new FileOutputStream(new File(getFilesDir(), RESULT))) {
            out.write(json.getBytes(StandardCharsets.UTF_8));
        }
    }

    private void show(final String text) {
        new Handler(Looper.getMainLooper()).post(new Runnable() {
            @Override
            public void run() {
                view.setText(text);
            }
        });
    }
}
