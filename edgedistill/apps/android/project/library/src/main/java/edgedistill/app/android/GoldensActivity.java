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

/** Runs a model's goldens on this phone, shows what came out and keeps it as {@code NAME-self-test.json}. */
public abstract class GoldensActivity extends Activity {
    private TextView view;

    /** Of the model; the result lies under it in the app's files folder. */
    protected abstract String name();

    /** Opens the model; called off the main thread. */
    protected abstract TextModel open();

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
        try (TextModel model = open()) {
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
        try (FileOutputStream out = new FileOutputStream(new File(getFilesDir(), name() + "-self-test.json"))) {
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
