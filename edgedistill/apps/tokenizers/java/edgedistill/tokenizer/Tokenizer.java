package edgedistill.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * BERT's WordPiece, or a list of whole words: the same numbers as the Hugging Face tokenizer the model was trained with.
 *
 * <p>Needs three files of the package: tokenizer.spec, vocab.txt and unicode.txt. Safe for use by several threads.
 */
public final class Tokenizer {
    private final Map<String, String> spec = new HashMap<>();
    private final Map<String, Integer> special = new HashMap<>();
    private final Map<String, Integer> vocabulary = new HashMap<>();
    private final Unicode unicode;
    private final boolean isWordPiece;
    private final boolean lowercase;
    private final boolean stripAccents;
    private final boolean splitIdeographs;
    private final String prefix;
    private final int mostCharacters;
    private final int unknown;
    private final int cls;
    private final int sep;
    private final int pad;
    private final int maxLength;

    /**
     * Reads the three files; the caller closes them.
     *
     * @throws IOException a file cannot be read, or is of another version.
     */
    public Tokenizer(InputStream specification, InputStream vocabularyFile, InputStream unicodeTable)
            throws IOException {
        String[] lines = Lines.read(specification);
        if (!lines[0].equals("edgedistill-tokenizer 1")) {
            throw new IOException("tokenizer.spec is of another version: " + lines[0]);
        }
        for (int number = 1; number < lines.length; number++) {
            int equals = lines[number].indexOf('=');
            String key = lines[number].substring(0, equals);
            String value = lines[number].substring(equals + 1);
            if (key.startsWith("special.")) {
                special.put(value, Integer.parseInt(key.substring(8)));
            } else {
                spec.put(key, value);
            }
        }
        String[] entries = Lines.read(vocabularyFile);
        for (int id = 0; id < entries.length; id++) {
            vocabulary.put(entries[id], id);
        }
        unicode = new Unicode(unicodeTable);
        isWordPiece = needed("kind").equals("wordpiece");
        lowercase = needed("lowercase").equals("true");
        stripAccents = needed("strip_accents").equals("true");
        splitIdeographs = needed("split_ideographs").equals("true");
        prefix = needed("prefix");
        mostCharacters = Integer.parseInt(needed("max_characters"));
        unknown = Integer.parseInt(needed("unknown"));
        cls = Integer.parseInt(needed("cls"));
        sep = Integer.parseInt(needed("sep"));
        pad = Integer.parseInt(needed("pad"));
        maxLength = Integer.parseInt(needed("max_length"));
    }

    /** What shorter texts are filled up with. */
    public int padId() {
        return pad;
    }

    /** Most tokens the model takes. */
    public int maxLength() {
        return maxLength;
    }

    /** One text, cut to what the model takes. */
    public Encoding encode(String text) {
        return encode(text, null, maxLength);
    }

    /** A pair, cut to what the model takes, the longer text first. */
    public Encoding encode(String text, String pair) {
        return encode(text, pair, maxLength);
    }

    /**
     * One text or a pair, cut to {@code length} tokens.
     *
     * @param text lone surrogates count as U+FFFD, which is left out.
     * @param pair the second text; null for none.
     * @param length most tokens, special ones included; at least 3.
     */
    public Encoding encode(String text, String pair, int length) {
        Tokens first = tokens(text);
        Tokens second = pair == null ? null : tokens(pair);
        int room = length - (pair == null ? 2 : 3);
        if (room < 0) {
            throw new IllegalArgumentException("no text fits into " + length + " tokens");
        }
        int[] kept = kept(first.size(), second == null ? 0 : second.size(), room);
        Tokens all = new Tokens();
        all.add(cls, 0, 0);
        all.addFirst(first, kept[0]);
        all.add(sep, 0, 0);
        int border = all.size();
        if (second != null) {
            all.addFirst(second, kept[1]);
            all.add(sep, 0, 0);
        }
        int[] types = new int[all.size()];
        int[] sources = new int[all.size()];
        for (int place = 0; place < types.length; place++) {
            types[place] = place < border ? 0 : 1;
            boolean isAdded = place == 0 || place == border - 1 || second != null && place == types.length - 1;
            sources[place] = isAdded ? -1 : types[place];
        }
        return new Encoding(all.ids(), types, sources, all.starts(), all.ends());
    }

    /** How many tokens of each text stay: the longer one gives first, then both alike. */
    private static int[] kept(int first, int second, int room) {
        if (first + second <= room) {
            return new int[] {first, second};
        }
        int shorter = Math.min(first, second);
        int longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
        if (shorter + longer > room) {
            shorter = room / 2;
            longer = shorter + room % 2;
        }
        return first > second ? new int[] {longer, shorter} : new int[] {shorter, longer};
    }

    /** The text's own tokens: special ones that are written out in it are taken as they are. */
    private Tokens tokens(String text) {
        Tokens tokens = new Tokens();
        int start = 0;
        int place = 0;
        while (place < text.length()) {
            String found = specialAt(text, place);
            if (found == null) {
                place++;
                continue;
            }
            words(normalised(text, start, place), tokens);
            tokens.add(special.get(found), place, place + found.length());
            place += found.length();
            start = place;
        }
        words(normalised(text, start, place), tokens);
        return tokens;
    }

    private String specialAt(String text, int place) {
        String found = null;
        for (String each : special.keySet()) {
            if (text.startsWith(each, place) && (found == null || each.length() > found.length())) {
                found = each;
            }
        }
        return found;
    }

    /** Cleaned, ideographs set apart, accents taken off, capitals lowered: in this order. */
    private Points normalised(String text, int from, int to) {
        Points clean = new Points();
        for (int start = from, end; start < to; start = end) {
            int point = text.codePointAt(start);
            end = start + Character.charCount(point);
            if (point >= 0xD800 && point < 0xE000 || unicode.isRemoved(point)) {
                continue;
            }
            if (unicode.isSpace(point)) {
                clean.add(' ', start, end);
            } else if (splitIdeographs && unicode.isIdeograph(point)) {
                clean.add(' ', start, end);
                clean.add(point, start, end);
                clean.add(' ', start, end);
            } else {
                clean.add(point, start, end);
            }
        }
        Points stripped = stripAccents ? withoutMarks(decomposed(clean)) : clean;
        return lowercase ? lowered(stripped) : stripped;
    }

    /** Letters and marks apart, the marks in the order of their classes. */
    private Points decomposed(Points text) {
        Points parts = new Points();  // a part's start says for now whether it is a first one, which a place is for
        for (int place = 0; place < text.size; place++) {
            int[] letters = unicode.decompose(text.points[place]);
            for (int number = 0; number < (letters == null ? 1 : letters.length); number++) {
                parts.add(letters == null ? text.points[place] : letters[number], number == 0 ? 1 : 0, 0);
            }
        }
        for (int place = 1; place < parts.size; place++) {
            int mark = unicode.combiningClass(parts.points[place]);
            for (int before = place - 1; mark > 0 && before >= 0; before--) {
                if (unicode.combiningClass(parts.points[before]) <= mark) {
                    break;
                }
                parts.swap(before, before + 1);
            }
        }
        return placed(parts, text);
    }

    /** As the Hugging Face library has it, places stay where they are when marks change theirs. */
    private static Points placed(Points parts, Points text) {
        Points result = new Points();
        int next = 0;
        for (int place = 0; place < parts.size; place++) {
            next += parts.starts[place];
            int source = Math.max(next - 1, 0);
            result.add(parts.points[place], text.starts[source], text.ends[source]);
        }
        return result;
    }

    private Points withoutMarks(Points text) {
        Points result = new Points();
        for (int place = 0; place < text.size; place++) {
            if (!unicode.isMark(text.points[place])) {
                result.add(text.points[place], text.starts[place], text.ends[place]);
            }
        }
        return result;
    }

    private Points lowered(Points text) {
        Points result = new Points();
        for (int place = 0; place < text.size; place++) {
            int[] letters = unicode.lower(text.points[place]);
            if (letters == null) {
                result.add(text.points[place], text.starts[place], text.ends[place]);
                continue;
            }
            for (int letter : letters) {
                result.add(letter, text.starts[place], text.ends[place]);
            }
        }
        return result;
    }

    /** Cuts at blanks, and before and after every punctuation mark. */
    private void words(Points text, Tokens into) {
        int start = 0;
        for (int place = 0; place < text.size; place++) {
            boolean isMark = unicode.isPunctuation(text.points[place]);
            if (isMark || text.points[place] == ' ') {
                word(text, start, place, into);
                start = place + 1;
            }
            if (isMark) {
                word(text, place, place + 1, into);
            }
        }
        word(text, start, text.size, into);
    }

    private void word(Points text, int from, int to, Tokens into) {
        if (from == to) {
            return;
        }
        if (isWordPiece && to - from <= mostCharacters) {
            Tokens pieces = pieces(text, from, to);
            if (pieces != null) {
                into.addFirst(pieces, pieces.size());
                return;
            }
        }
        Integer id = isWordPiece ? null : vocabulary.get(new String(text.points, from, to - from));
        into.add(id == null ? unknown : id, text.starts[from], text.ends[to - 1]);
    }

    /** The longest entries that fit, from the first letter on; null where some part fits none. */
    private Tokens pieces(Points text, int from, int to) {
        Tokens found = new Tokens();
        int start = from;
        while (start < to) {
            int end = to;
            Integer id = null;
            for (; end > start; end--) {
                String piece = new String(text.points, start, end - start);
                id = vocabulary.get(start > from ? prefix + piece : piece);
                if (id != null) {
                    break;
                }
            }
            if (id == null) {
                return null;
            }
            found.add(id, text.starts[start], text.ends[end - 1]);
            start = end;
        }
        return found;
    }

    private String needed(String key) throws IOException {
        String value = spec.get(key);
        if (value == null) {
            throw new IOException("tokenizer.spec says nothing of '" + key + "'");
        }
        return value;
    }

    /** A growing row of tokens. */
    private static final class Tokens {
        private final List<int[]> rows = new ArrayList<>();

        void add(int id, int start, int end) {
            rows.add(new int[] {id, start, end});
        }

        void addFirst(Tokens others, int count) {
            rows.addAll(others.rows.subList(0, count));
        }

        int size() {
            return rows.size();
        }

        int[] ids() {
            return column(0);
        }

        int[] starts() {
            return column(1);
        }

        int[] ends() {
            return column(2);
        }

        private int[] column(int number) {
            int[] values = new int[rows.size()];
            for (int place = 0; place < values.length; place++) {
                values[place] = rows.get(place)[number];
            }
            return values;
        }
    }
}
