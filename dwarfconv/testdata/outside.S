	.section .data, "aw"
	.globl outside
outside:
	.skip 256
	.section .note.GNU-stack, "", %progbits
