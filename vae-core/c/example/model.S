/* The demo's model and a recorded stream, in flash; the assembler finds them with -Wa,-I and the folder. */
    .section .model, "a", %progbits
    .balign 4
    .global model_file, model_file_end, stream, stream_end
model_file:
    .incbin "motor.vae"
model_file_end:
    .balign 4
stream:
    .incbin "stream.f32"
stream_end:
    .section .note.GNU-stack, "", %progbits
