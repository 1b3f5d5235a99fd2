/* What the example needs of the machine that it runs on. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The example, in motor.c; 0 if all went well. */
int motor(void);

/* Prints a text. */
void port_write(const char *text);

/* A clock that counts up; 0 where there is none. */
uint32_t port_ticks(void);

#ifdef __cplusplus
}
#endif

#endif
