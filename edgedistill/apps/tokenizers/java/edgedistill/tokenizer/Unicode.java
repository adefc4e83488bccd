package edgedistill.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;

/** What the tokenizer knows of characters, read from unicode.txt. No table of Java's own is asked: they differ. */
final class Unicode {
    private static final int HANGUL = 0xAC00;
    private static final int HANGUL_END = 0xD7A4;

    private final Map<String, int[]> ranges = new HashMap<>();
    private final Map<Integer, Integer> classes = new HashMap<>();
    private final Map<Integer, int[]> lowered = new HashMap<>();
    private final Map<Integer, int[]> decomposed = new HashMap<>();

    Unicode(InputStream table) throws IOException {
        String[] lines = Lines.read(table);
        if (!lines[0].startsWith("edgedistill-unicode 1 ")) {
            throw new IOException("unicode.txt is of another version: " + lines[0]);
        }
        for (int number = 1; number < lines.length; number++) {
            String[] parts = lines[number].split(" ");
            switch (parts[0]) {
                case "class":
                    readClasses(parts);
                    break;
                case "lower":
                    readShifts(parts);
                    break;
                case "lower-long":
                    readTexts(parts, lowered);
                    break;
                case "decompose":
                    readTexts(parts, decomposed);
                    break;
                default:
                    readRanges(parts);
            }
        }
    }

    /** Whether cleaning drops it: control and format characters, private ones, U+FFFD. */
    boolean isRemoved(int point) {
        return isIn("removed", point);
    }

    /** Whether cleaning makes it a blank. */
    boolean isSpace(int point) {
        return isIn("space", point);
    }

    boolean isIdeograph(int point) {
        return isIn("ideograph", point);
    }

    boolean isPunctuation(int point) {
        return isIn("punctuation", point);
    }

    /** Whether taking off accents drops it. */
    boolean isMark(int point) {
        return isIn("mark", point);
    }

    /** Canonical combining class, or a number that stands in the same order; 0 for what marks stand on. */
    int combiningClass(int point) {
        Integer found = classes.get(point);
        return found == null ? 0 : found;
    }

    /** The lower case; null where it is the character itself. */
    int[] lower(int point) {
        return lowered.get(point);
    }

    /** The canonical decomposition; null where it is the character itself. */
    int[] decompose(int point) {
        if (point < HANGUL || point >= HANGUL_END) {
            return decomposed.get(point);
        }
        int syllable = point - HANGUL;
        int lead = 0x1100 + syllable / 588;
        int vowel = 0x1161 + syllable % 588 / 28;
        int tail = syllable % 28;
        return tail == 0 ? new int[] {lead, vowel} : new int[] {lead, vowel, 0x11A7 + tail};
    }

    private boolean isIn(String name, int point) {
        int[] bounds = ranges.get(name);
        int low = 0;
        int high = bounds.length / 2 - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            if (point < bounds[2 * middle]) {
                high = middle - 1;
            } else if (point > bounds[2 * middle + 1]) {
                low = middle + 1;
            } else {
                return true;
            }
        }
        return false;
    }

    private void readRanges(String[] parts) {
        int[] bounds = new int[2 * (parts.length - 1)];
        for (int place = 1; place < parts.length; place++) {
            int[] range = range(parts[place]);
            bounds[2 * place - 2] = range[0];
            bounds[2 * place - 1] = range[1];
        }
        ranges.put(parts[0], bounds);
    }

    private void readClasses(String[] parts) {
        for (int place = 1; place < parts.length; place++) {
            int colon = parts[place].indexOf(':');
            int[] range = range(parts[place].substring(0, colon));
            int value = Integer.parseInt(parts[place].substring(colon + 1), 16);
            for (int point = range[0]; point <= range[1]; point++) {
                classes.put(point, value);
            }
        }
    }

    private void readShifts(String[] parts) {
        for (int place = 1; place < parts.length; place++) {
            String entry = parts[place];
            int slash = entry.indexOf('/');
            int colon = entry.indexOf(':');
            int[] range = range(entry.substring(0, slash));
            int step = Integer.parseInt(entry.substring(slash + 1, colon), 16);
            int distance = Integer.parseInt(entry.substring(colon + 1), 16);
            for (int point = range[0]; point <= range[1]; point += step) {
                lowered.put(point, new int[] {point + distance});
            }
        }
    }

    private static void readTexts(String[] parts, Map<Integer, int[]> into) {
        for (int place = 1; place < parts.length; place++) {
            int arrow = parts[place].indexOf('>');
            String[] letters = parts[place].substring(arrow + 1).split("\\.");
            int[] points = new int[letters.length];
            for (int number = 0; number < letters.length; number++) {
                points[number] = Integer.parseInt(letters[number], 16);
            }
            into.put(Integer.parseInt(parts[place].substring(0, arrow), 16), points);
        }
    }

    private static int[] range(String text) {
        int dash = text.indexOf('-');
        int first = Integer.parseInt(dash < 0 ? text : text.substring(0, dash), 16);
        return new int[] {first, dash < 0 ? first : Integer.parseInt(text.substring(dash + 1), 16)};
    }
}
