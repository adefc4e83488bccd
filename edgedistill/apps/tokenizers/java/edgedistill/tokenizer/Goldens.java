package edgedistill.tokenizer;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Compares the tokenizer with what the Hugging Face one said: the lines of tokenizer-goldens.tsv. */
public final class Goldens {
    /** How many texts were compared. */
    public final int asked;
    /** Numbers of the lines that differ, from 1. */
    public final List<Integer> differ;

    private Goldens(int asked, List<Integer> differ) {
        this.asked = asked;
        this.differ = differ;
    }

    /**
     * Encodes every text again.
     *
     * @throws IOException the file cannot be read.
     */
    public static Goldens compare(Tokenizer tokenizer, InputStream goldens) throws IOException {
        BufferedReader reader = new BufferedReader(new InputStreamReader(goldens, StandardCharsets.US_ASCII));
        List<Integer> differ = new ArrayList<>();
        int number = 0;
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            number++;
            String[] columns = line.split("\t", -1);
            String pair = columns[1].startsWith("+") ? unescaped(columns[1].substring(1)) : null;
            Encoding found = tokenizer.encode(unescaped(columns[0]), pair, Integer.parseInt(columns[2]));
            boolean isSame = columns[3].equals(joined(found.ids))
                    && columns[4].equals(joined(found.typeIds))
                    && columns[5].equals(spans(found));
            if (!isSame) {
                differ.add(number);
            }
        }
        return new Goldens(number, differ);
    }

    /** The text with every &#92;uXXXX as the UTF-16 unit it stands for. */
    public static String unescaped(String text) {
        StringBuilder result = new StringBuilder();
        for (int place = 0; place < text.length(); place++) {
            if (text.charAt(place) == '\\') {
                result.append((char) Integer.parseInt(text.substring(place + 2, place + 6), 16));
                place += 5;
            } else {
                result.append(text.charAt(place));
            }
        }
        return result.toString();
    }

    private static String joined(int[] values) {
        return Arrays.toString(values).replaceAll("[\\[\\],]", "");
    }

    private static String spans(Encoding found) {
        StringBuilder result = new StringBuilder();
        for (int place = 0; place < found.length(); place++) {
            result.append(place == 0 ? "" : " ").append(found.starts[place]).append(':').append(found.ends[place]);
        }
        return result.toString();
    }

    /** {@code java edgedistill.tokenizer.Goldens FOLDER}: prints how many were asked, then the lines that differ. */
    public static void main(String[] arguments) throws IOException {
        String folder = arguments[0] + "/";
        try (InputStream specification = new FileInputStream(folder + "tokenizer.spec");
                InputStream vocabulary = new FileInputStream(folder + "vocab.txt");
                InputStream unicode = new FileInputStream(folder + "unicode.txt");
                InputStream goldens = new FileInputStream(folder + "tokenizer-goldens.tsv")) {
            Goldens found = compare(new Tokenizer(specification, vocabulary, unicode), goldens);
            System.out.println(found.asked);
            for (int line : found.differ) {
                System.out.println(line);
            }
        }
    }
}
