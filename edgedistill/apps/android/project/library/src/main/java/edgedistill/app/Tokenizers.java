package edgedistill.app;

import edgedistill.tokenizer.Encoding;
import edgedistill.tokenizer.Tokenizer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;

/** The tokenizer of a model, from files whose hashes were compared. */
final class Tokenizers {
    private Tokenizers() {}

    static TextEncoder open(ModelFiles files) {
        final Tokenizer tokenizer;
        try {
            tokenizer = new Tokenizer(stream(files, "tokenizer.spec"), stream(files, "vocab.txt"),
                    stream(files, "unicode.txt"));
        } catch (IOException error) {
            throw new ModelException("the tokenizer cannot be used: " + error.getMessage(), error);
        }
        return new TextEncoder() {
            @Override
            public Encoded encode(String text, String pair) {
                Encoding found = tokenizer.encode(text, pair);
                return new Encoded(found.ids, found.typeIds, found.sources, found.starts, found.ends);
            }
        };
    }

    private static InputStream stream(ModelFiles files, String path) {
        return new ByteArrayInputStream(files.read(path));
    }
}
