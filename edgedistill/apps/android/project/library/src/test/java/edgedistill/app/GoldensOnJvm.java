package edgedistill.app;

import java.io.File;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Runs the goldens on a Java virtual machine and prints one line of JSON for each file of them.
 *
 * <p>Arguments: folder of the model, hash of its manifest, and the class of a {@link SessionOpener}; without it tokens
 * alone are compared.
 */
public final class GoldensOnJvm {
    private GoldensOnJvm() {}

    public static void main(String[] arguments) throws ReflectiveOperationException {
        ModelFiles files = ModelFiles.open(FileSource.ofFolder(new File(arguments[0])), arguments[1]);
        if (arguments.length < 3) {
            for (String path : SelfTest.goldens(files)) {
                print(path, "", SelfTest.runTokens(files, path));
            }
            return;
        }
        Object opener = Class.forName(arguments[2]).getDeclaredConstructor().newInstance();
        try (TextModel model = TextModel.open(files, (SessionOpener) opener, 1)) {
            for (String path : SelfTest.goldens(files)) {
                print(path, ((SessionOpener) opener).version(), SelfTest.run(model, path));
            }
        }
    }

    private static void print(String path, String runtime, SelfTest.Result result) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("file", path);
        line.put("runtime", runtime);
        line.putAll(Json.readObject(result.toJson()));
        System.out.println(Json.write(line));
    }
}
