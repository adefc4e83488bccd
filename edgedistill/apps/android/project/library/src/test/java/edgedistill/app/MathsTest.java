package edgedistill.app;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class MathsTest {
    @Test
    public void probabilitiesSumToOneAndSurviveLargeLogits() {
        assertArrayEquals(new float[] {0.5f, 0.5f}, Maths.softmax(new float[] {1000, 1000}), 0);
        assertArrayEquals(new float[] {0.731059f, 0.268941f}, Maths.softmax(new float[] {1, 0}), 1e-6f);
    }

    @Test
    public void uncertaintyIsOneForEqualLogitsAndNearZeroForACertainAnswer() {
        assertEquals(1.0, Maths.uncertainty(new float[] {2, 2, 2}), 1e-12);
        assertEquals(0.0, Maths.uncertainty(new float[] {50, 0}), 1e-9);
        assertEquals(0.839942, Maths.uncertainty(new float[] {1, 0}), 1e-6); // 0.5822 of ln 2
    }

    @Test
    public void anAnswerStartsBeforeItEndsAndStaysWhereItIsAllowed() {
        float[] start = {9, 1, 5, 0};
        float[] end = {0, 9, 1, 4};
        assertArrayEquals(new int[] {0, 1}, Maths.bestSpan(start, end, new boolean[4]));
        assertArrayEquals(new int[] {2, 3}, Maths.bestSpan(start, end, new boolean[] {false, false, true, true}));
    }

    @Test
    public void noAnswerIsLongerThanThirtyTokens() {
        float[] start = new float[40];
        float[] end = new float[40];
        start[0] = 9;
        end[39] = 9;
        end[29] = 1;
        assertArrayEquals(new int[] {0, 29}, Maths.bestSpan(start, end, new boolean[40]));
    }

    @Test
    public void vectorsAreAveragedAndOfLengthOne() {
        float[] mean = Maths.meanOfRows(new float[] {1, 2, 3, 6}, 2);
        assertArrayEquals(new float[] {2, 4}, mean, 0);
        assertArrayEquals(new float[] {0.6f, 0.8f}, Maths.normalised(new float[] {3, 4}), 1e-7f);
        assertArrayEquals(new float[] {0, 0}, Maths.normalised(new float[] {0, 0}), 0);
    }
}
