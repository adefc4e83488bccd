package edgedistill.tokenizer;

import java.util.Arrays;

/** One tokenised text or pair, special tokens included, without padding. All arrays are equally long. */
public final class Encoding {
    /** Numbers of the tokens. */
    public final int[] ids;
    /** 0 for the first text and its special tokens, 1 for the second. */
    public final int[] typeIds;
    /** Which text a token is of: 0 or 1; -1 for special tokens that were added. */
    public final int[] sources;
    /** Where a token begins in its text, in UTF-16 units, as in {@link String#substring(int, int)}; 0 if added. */
    public final int[] starts;
    /** Where it ends, exclusive. */
    public final int[] ends;

    Encoding(int[] ids, int[] typeIds, int[] sources, int[] starts, int[] ends) {
        this.ids = ids;
        this.typeIds = typeIds;
        this.sources = sources;
        this.starts = starts;
        this.ends = ends;
    }

    /** How many tokens there are. */
    public int length() {
        return ids.length;
    }

    /** The numbers, then {@code pad} up to {@code length}. */
    public int[] paddedIds(int length, int pad) {
        int[] padded = padded(ids, length);
        Arrays.fill(padded, ids.length, length, pad);
        return padded;
    }

    /** The types, then 0 up to {@code length}. */
    public int[] paddedTypeIds(int length) {
        return padded(typeIds, length);
    }

    /** 1 for every token, then 0 up to {@code length}. */
    public int[] attentionMask(int length) {
        int[] mask = padded(new int[0], length);
        Arrays.fill(mask, 0, ids.length, 1);
        return mask;
    }

    private int[] padded(int[] values, int length) {
        if (length < ids.length) {
            throw new IllegalArgumentException("the text has " + ids.length + " tokens, more than " + length);
        }
        return Arrays.copyOf(values, length);
    }
}
