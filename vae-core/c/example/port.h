/* What the example needs of the machine that it runs on. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/* Prints a text. */
void port_write(const char *text);

/* A clock that counts up; 0 where there is none. */
uint32_t port_ticks(void);

#endif
