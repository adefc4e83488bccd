package edgedistill.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import androidx.test.core.app.ApplicationProvider;
import edgedistill.app.android.BundledModel;
import org.junit.Test;

/** The goldens on a phone or emulator: {@code gradle connectedAndroidTest}. */
public class SelfTestOnDevice {
    @Test
    public void everyGoldenIsAnsweredAsWhenTheModelWasJudged() {
        try (TextModel model = BundledModel.open(ApplicationProvider.getApplicationContext())) {
            SelfTest.Result result = SelfTest.run(model);
            assertEquals(String.valueOf(result.faults()), result.texts(), result.passed());
            assertTrue("there are no goldens", result.isPassed());
        }
    }
}
