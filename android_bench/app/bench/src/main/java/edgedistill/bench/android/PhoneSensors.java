package edgedistill.bench.android;

import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.os.BatteryManager;
import android.os.Build;
import edgedistill.bench.LinuxSensors;
import java.util.Map;

/** What Android tells an app about the phone: the battery's temperature, and clocks where they may be read. */
final class PhoneSensors extends LinuxSensors {
    private final Context context;

    PhoneSensors(Context context) {
        this.context = context.getApplicationContext();
    }

    @Override
    public Map<String, Object> zones() {
        Map<String, Object> found = super.zones();
        Intent battery = context.registerReceiver(null, new IntentFilter(Intent.ACTION_BATTERY_CHANGED));
        int tenths = battery == null ? -1 : battery.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, -1);
        if (tenths >= 0) {
            found.put("battery", tenths / 10.0);
        }
        return found;
    }

    @Override
    public boolean isEmulated() {
        String hardware = Build.HARDWARE;
        return hardware.contains("goldfish") || hardware.contains("ranchu") || Build.FINGERPRINT.contains("generic");
    }
}
