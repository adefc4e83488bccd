package edgedistill.app;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;

/** Where the files of a model lie: an app's assets, an asset pack, or a folder. */
public interface FileSource {
    /** Opens the file of that path, with forward slashes. */
    InputStream open(String path) throws IOException;

    /** Files of a folder. */
    static FileSource ofFolder(final File folder) {
        return new FileSource() {
            @Override
            public InputStream open(String path) throws IOException {
                return new FileInputStream(new File(folder, path));
            }
        };
    }
}
