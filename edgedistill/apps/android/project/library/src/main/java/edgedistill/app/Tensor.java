package edgedistill.app;

/** One array of numbers with its shape: whole numbers (token ids) or 32-bit floats, row-major. */
public final class Tensor {
    private final int[] shape;
    private final int[] ints;
    private final float[] floats;

    private Tensor(int[] ints, float[] floats, int[] shape) {
        this.ints = ints;
        this.floats = floats;
        this.shape = shape;
        int count = ints != null ? ints.length : floats.length;
        if (count != size(shape)) {
            throw new IllegalArgumentException(count + " numbers do not fill a shape of " + size(shape) + ".");
        }
    }

    /** Whole numbers of the given shape. */
    public static Tensor ofInts(int[] values, int... shape) {
        return new Tensor(values, null, shape);
    }

    /** Floats of the given shape. */
    public static Tensor ofFloats(float[] values, int... shape) {
        return new Tensor(null, values, shape);
    }

    public boolean isInteger() {
        return ints != null;
    }

    /** The whole numbers, not copied. */
    public int[] ints() {
        return ints;
    }

    /** The floats, not copied. */
    public float[] floats() {
        return floats;
    }

    public int[] shape() {
        return shape.clone();
    }

    static int size(int[] shape) {
        int size = 1;
        for (int length : shape) {
            size = Math.multiplyExact(size, length);
        }
        return size;
    }

    /** The first {@code rows} entries of the second axis of a (1, S, ...) array of floats. */
    Tensor cut(int rows) {
        int width = floats.length / shape[1];
        int[] smaller = shape.clone();
        smaller[1] = rows;
        return ofFloats(java.util.Arrays.copyOf(floats, rows * width), smaller);
    }
}
