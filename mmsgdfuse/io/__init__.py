"""Files in and out; nothing here imports torch or mmengine."""
