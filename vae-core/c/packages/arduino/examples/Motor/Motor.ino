/* The example's port to Arduino: watches a recorded motor, and prints the verdicts. */
#include <vae.h>

#include "port.h"

void port_write(const char *text) { Serial.print(text); }

uint32_t port_ticks(void) { return micros(); }

void setup() {
    Serial.begin(115200);
    while (!Serial) {
    }
    motor();
}

void loop() {}
