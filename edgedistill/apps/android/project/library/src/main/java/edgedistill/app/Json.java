package edgedistill.app;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and writes JSON (RFC 8259): objects become maps in their order, arrays lists, numbers {@link Long} or
 * {@link Double}. Repeated keys, numbers that are not finite and anything after the value are refused.
 */
public final class Json {
    private static final int DEEPEST = 64;
    private final String text;
    private int place;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    /**
     * Reads one value.
     *
     * @throws ModelException it is not JSON.
     */
    public static Object read(String text) {
        Json reader = new Json(text);
        Object value = reader.value();
        reader.blank();
        if (reader.place != text.length()) {
            throw reader.wrong("more text after the value");
        }
        return value;
    }

    /** Reads one object. */
    @SuppressWarnings("unchecked")
    public static Map<String, Object> readObject(String text) {
        Object value = read(text);
        if (!(value instanceof Map)) {
            throw new ModelException("not a JSON object.");
        }
        return (Map<String, Object>) value;
    }

    /** Writes maps, lists, texts, numbers, booleans and null; everything beyond ASCII is escaped. */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private Object value() {
        blank();
        char next = peek();
        if (next == '{' || next == '[') {
            if (++depth > DEEPEST) {
                throw wrong("nested too deeply");
            }
            Object inner = next == '{' ? object() : array();
            depth--;
            return inner;
        }
        return next == '"' ? string() : word();
    }

    private Map<String, Object> object() {
        Map<String, Object> found = new LinkedHashMap<>();
        place++;
        blank();
        if (skip('}')) {
            return found;
        }
        do {
            blank();
            String key = string();
            blank();
            expect(':');
            if (found.containsKey(key)) {
                throw wrong("a key is written twice");
            }
            found.put(key, value());
            blank();
        } while (skip(','));
        expect('}');
        return found;
    }

    private List<Object> array() {
        List<Object> found = new ArrayList<>();
        place++;
        blank();
        if (skip(']')) {
            return found;
        }
        do {
            found.add(value());
            blank();
        } while (skip(','));
        expect(']');
        return found;
    }

    private String string() {
        expect('"');
        StringBuilder found = new StringBuilder();
        while (peek() != '"') {
            char next = text.charAt(place++);
            if (next < ' ') {
                throw wrong("a control character in a text");
            }
            found.append(next == '\\' ? escaped() : next);
        }
        place++;
        return found.toString();
    }

    private char escaped() {
        char next = peek();
        place++;
        if (next == 'u') {
            if (place + 4 > text.length()) {
                throw wrong("a cut escape");
            }
            int code = 0;
            for (int end = place + 4; place < end; place++) {
                int digit = Character.digit(text.charAt(place), 16);
                if (digit < 0) {
                    throw wrong("an escape that is not hexadecimal");
                }
                code = code * 16 + digit;
            }
            return (char) code;
        }
        int known = "\"\\/bfnrt".indexOf(next);
        if (known < 0) {
            throw wrong("an unknown escape");
        }
        return "\"\\/\b\f\n\r\t".charAt(known);
    }

    private Object word() {
        int start = place;
        while (place < text.length() && ",]} \t\r\n".indexOf(text.charAt(place)) < 0) {
            place++;
        }
        String found = text.substring(start, place);
        switch (found) {
            case "true":
                return Boolean.TRUE;
            case "false":
                return Boolean.FALSE;
            case "null":
                return null;
            default:
                return number(found);
        }
    }

    private Number number(String found) {
        if (!found.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?")) {
            throw wrong("'" + found + "' is no value");
        }
        boolean isWhole = found.length() < 19 && found.matches("-?[0-9]+");
        Number number = isWhole ? (Number) Long.valueOf(found) : (Number) Double.valueOf(found);
        if (Double.isInfinite(number.doubleValue())) {
            throw wrong("'" + found + "' is too large");
        }
        return number;
    }

    private char peek() {
        if (place >= text.length()) {
            throw wrong("the text ends too early");
        }
        return text.charAt(place);
    }

    private boolean skip(char wanted) {
        boolean isThere = place < text.length() && text.charAt(place) == wanted;
        place += isThere ? 1 : 0;
        return isThere;
    }

    private void expect(char wanted) {
        if (peek() != wanted) {
            throw wrong("'" + wanted + "' expected");
        }
        place++;
    }

    private void blank() {
        while (place < text.length() && " \t\r\n".indexOf(text.charAt(place)) >= 0) {
            place++;
        }
    }

    private ModelException wrong(String what) {
        return new ModelException("not valid JSON at character " + place + ": " + what + ".");
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof Map) {
            char mark = '{';
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.append(mark);
                quote(String.valueOf(entry.getKey()), out);
                out.append(':');
                write(entry.getValue(), out);
                mark = ',';
            }
            out.append(mark == '{' ? "{}" : "}");
        } else if (value instanceof Iterable) {
            char mark = '[';
            for (Object one : (Iterable<?>) value) {
                out.append(mark);
                write(one, out);
                mark = ',';
            }
            out.append(mark == '[' ? "[]" : "]");
        } else if (value instanceof CharSequence) {
            quote(value.toString(), out);
        } else {
            plain(value, out);
        }
    }

    private static void plain(Object value, StringBuilder out) {
        if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            if (Double.isNaN(number) || Double.isInfinite(number)) {
                throw new IllegalArgumentException(number + " cannot be written as JSON.");
            }
        } else if (value != null && !(value instanceof Number || value instanceof Boolean)) {
            throw new IllegalArgumentException(value.getClass() + " cannot be written as JSON.");
        }
        out.append(value);
    }

    private static void quote(String value, StringBuilder out) {
        out.append('"');
        for (int n = 0; n < value.length(); n++) {
            char next = value.charAt(n);
            if (next == '"' || next == '\\') {
                out.append('\\').append(next);
            } else if (next < ' ' || next > '~') {
                out.append(String.format(java.util.Locale.ROOT, "\\u%04x", (int) next));
            } else {
                out.append(next);
            }
        }
        out.append('"');
    }
}
