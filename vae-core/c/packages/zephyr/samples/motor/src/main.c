/* The example's port to Zephyr. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "port.h"

void port_write(const char *text) { printk("%s", text); }

uint32_t port_ticks(void) { return k_cycle_get_32(); }

int main(void) { return motor(); }
