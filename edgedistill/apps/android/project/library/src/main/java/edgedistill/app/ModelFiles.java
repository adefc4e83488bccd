package edgedistill.app;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The files of a model; none is handed out before its hash was compared with the manifest's. */
public final class ModelFiles implements ModelBytes {
    private static final String MANIFEST = "manifest.json";
    private final FileSource source;
    private final Manifest manifest;
    private final String manifestSha256;

    private ModelFiles(FileSource source, Manifest manifest, String manifestSha256) {
        this.source = source;
        this.manifest = manifest;
        this.manifestSha256 = manifestSha256;
    }

    /**
     * Opens a model.
     *
     * @param source of its files.
     * @param sha256 of its manifest.json, as it was when the app was built.
     * @throws ModelException the manifest is another one, or cannot be read.
     */
    public static ModelFiles open(FileSource source, String sha256) {
        byte[] content = bytes(source, MANIFEST);
        String found = sha256Of(content);
        if (!found.equals(sha256)) {
            throw new ModelException("manifest.json has the hash " + found + "; the app was built with " + sha256
                    + ". Package the model again, and build the app with it.");
        }
        return new ModelFiles(source, Manifest.read(new String(content, StandardCharsets.UTF_8)), found);
    }

    public Manifest manifest() {
        return manifest;
    }

    /** Of manifest.json, for reports. */
    public String manifestSha256() {
        return manifestSha256;
    }

    /**
     * The bytes of a file.
     *
     * @param path as the manifest lists it.
     * @throws ModelException it is not listed, missing, or changed.
     */
    @Override
    public byte[] read(String path) {
        Manifest.FileEntry entry = manifest.files.get(path);
        if (entry == null) {
            throw new ModelException("'" + path + "' is not in the manifest.");
        }
        byte[] content = bytes(source, path);
        if (content.length != entry.sizeBytes || !sha256Of(content).equals(entry.sha256)) {
            throw new ModelException("'" + path + "' is not the file the manifest names; it will not be used.");
        }
        return content;
    }

    /** The same as text. */
    public String readText(String path) {
        return new String(read(path), StandardCharsets.UTF_8);
    }

    private static byte[] bytes(FileSource source, String path) {
        for (String part : path.split("[/\\\\]", -1)) {
            if (part.isEmpty() || part.equals(".") || part.equals("..")) {
                throw new ModelException("'" + path + "' is no path within the model.");
            }
        }
        try (InputStream in = source.open(path)) {
            ByteArrayOutputStream out = new ByteArrayOutputStream(Math.max(1 << 13, in.available()));
            byte[] part = new byte[1 << 16];
            for (int count = in.read(part); count >= 0; count = in.read(part)) {
                out.write(part, 0, count);
            }
            return out.toByteArray();
        } catch (IOException error) {
            throw new ModelException("cannot read '" + path + "': " + error.getMessage(), error);
        }
    }

    static String sha256Of(byte[] content) {
        try {
            StringBuilder hex = new StringBuilder();
            for (byte one : MessageDigest.getInstance("SHA-256").digest(content)) {
                hex.append(Character.forDigit((one >> 4) & 15, 16)).append(Character.forDigit(one & 15, 16));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Android and every JVM has it
        }
    }
}
