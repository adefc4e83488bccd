package edgedistill.bench;

import edgedistill.app.SessionOpener;
import java.io.File;

/** The benchmark on a Java virtual machine. Arguments: request, result, class of a {@link SessionOpener}. */
public final class BenchOnJvm {
    private BenchOnJvm() {}

    public static void main(String[] arguments) throws Exception {
        Object opener = Class.forName(arguments[2]).getDeclaredConstructor().newInstance();
        boolean isDone = new Benchmark((SessionOpener) opener, new LinuxSensors(), System.err::println)
                .run(new File(arguments[0]), new File(arguments[1]));
        System.exit(isDone ? 0 : 2);
    }
}
