/* The example's port to a desktop. */
#include <stdio.h>

#include "port.h"

void port_write(const char *text) { fputs(text, stdout); }

uint32_t port_ticks(void) { return 0; }
