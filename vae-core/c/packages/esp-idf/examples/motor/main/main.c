/* The example's port to ESP-IDF. */
#include <stdio.h>

#include "esp_timer.h"

#include "port.h"

void port_write(const char *text) { fputs(text, stdout); }

uint32_t port_ticks(void) { return (uint32_t)esp_timer_get_time(); }

void app_main(void) { motor(); }
