package edgedistill.app.android;

import android.content.Context;
import android.content.res.AssetManager;
import edgedistill.app.FileSource;
import java.io.IOException;
import java.io.InputStream;

/** A model's files in the app's assets; those of an install-time asset pack are found there too. */
public final class AssetSource implements FileSource {
    private final AssetManager assets;
    private final String folder;

    public AssetSource(Context context, String folder) {
        this.assets = context.getApplicationContext().getAssets();
        this.folder = folder;
    }

    @Override
    public InputStream open(String path) throws IOException {
        return assets.open(folder + "/" + path, AssetManager.ACCESS_STREAMING);
    }
}
