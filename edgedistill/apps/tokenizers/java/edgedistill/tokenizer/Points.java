package edgedistill.tokenizer;

import java.util.Arrays;

/** A growing row of characters, each with the part of the text that it comes from. */
final class Points {
    int size = 0;
    int[] points = new int[64];
    int[] starts = new int[64];
    int[] ends = new int[64];

    void add(int point, int start, int end) {
        if (size == points.length) {
            points = Arrays.copyOf(points, 2 * size);
            starts = Arrays.copyOf(starts, 2 * size);
            ends = Arrays.copyOf(ends, 2 * size);
        }
        points[size] = point;
        starts[size] = start;
        ends[size] = end;
        size++;
    }

    void swap(int one, int other) {
        swap(points, one, other);
        swap(starts, one, other);
        swap(ends, one, other);
    }

    private static void swap(int[] values, int one, int other) {
        int value = values[one];
        values[one] = values[other];
        values[other] = value;
    }
}
