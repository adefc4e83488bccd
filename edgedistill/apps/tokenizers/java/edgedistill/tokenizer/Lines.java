package edgedistill.tokenizer;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Lines of a UTF-8 file that end with a line feed and nothing else: words may hold every other kind of line end. */
final class Lines {
    private Lines() {}

    static String[] read(InputStream stream) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        byte[] buffer = new byte[1 << 16];
        for (int size = stream.read(buffer); size >= 0; size = stream.read(buffer)) {
            bytes.write(buffer, 0, size);
        }
        String text = new String(bytes.toByteArray(), StandardCharsets.UTF_8);
        List<String> lines = new ArrayList<>();
        int start = 0;
        for (int end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
            lines.add(text.substring(start, end));
            start = end + 1;
        }
        if (start < text.length()) {
            lines.add(text.substring(start));
        }
        return lines.toArray(new String[0]);
    }
}
