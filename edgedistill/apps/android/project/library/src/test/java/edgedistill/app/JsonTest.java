package edgedistill.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.Map;
import org.junit.Test;

public class JsonTest {
    @Test
    public void everyKindOfValueIsRead() {
        Map<String, Object> found = Json.readObject(
                " {\"a\": [1, -2.5e1, true, null, \"\\u00e9\\n\\\"\"], \"b\": {}, \"c\": 0.1} ");
        assertEquals(Arrays.asList(1L, -25.0, true, null, "\u00e9\n\""), found.get("a"));
        assertEquals(0.1, found.get("c"));
        assertEquals("[a, b, c]", found.keySet().toString());
    }

    @Test
    public void whatIsWrittenIsReadAgain() {
        String text = "{\"a\":[1,2.5,false,null,\"\\u2028\\ud83d\\\"\\\\\"],\"b\":{},\"c\":[]}";
        assertEquals(text, Json.write(Json.read(text)));
    }

    @Test
    public void whatIsNoJsonIsRefused() {
        StringBuilder deep = new StringBuilder();
        for (int n = 0; n < 100; n++) {
            deep.append('[');
        }
        String[] wrong = {"", "{", "[1,]", "[1 2]", "{\"a\":1,\"a\":2}", "01", "NaN", "1e999", "\"\\x\"", "\"\\u12\"",
            "\"\\u12x4\"", "\"a\nb\"", "{} {}", "{a:1}", "tru", deep.toString()};
        for (String text : wrong) {
            try {
                Json.read(text);
            } catch (ModelException expected) {
                continue;
            }
            fail(text + " was read");
        }
    }
}
