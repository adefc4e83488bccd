"""An Android device double for tests: the real `adb` client connects to it. Never used outside tests."""
