/* What the example takes of Zephyr's. */
void printk(const char *format, ...);
