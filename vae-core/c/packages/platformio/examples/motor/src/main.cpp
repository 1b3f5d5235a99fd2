/* The example's port to Arduino's framework. */
#include <Arduino.h>

#include "port.h"

void port_write(const char *text) { Serial.print(text); }

uint32_t port_ticks(void) { return micros(); }

void setup() {
    Serial.begin(115200);
    motor();
}

void loop() {}
