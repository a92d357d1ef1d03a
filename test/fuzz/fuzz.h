/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the libFuzzer harnesses share.
 *
 * A harness includes this once, after postgres.h.  It takes figures and texts
 * from the input until there is no more, and calls require() for each property
 * that must hold, whatever the input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_FUZZ_H
#define PMON_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakes/require.h"

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* What is left of the input */
typedef struct FuzzInput
{
	const uint8 *data;
	size_t		left;
} FuzzInput;

/* The next bytes, and zeroes where there are not as many */
static inline void
take_bytes(FuzzInput *input, void *to, size_t size)
{
	size_t		n = Min(size, input->left);

	memset(to, 0, size);
	if (n > 0)
		memcpy(to, input->data, n);
	input->data += n;
	input->left -= n;
}

static inline uint8
take_byte(FuzzInput *input)
{
	uint8		byte;

	take_bytes(input, &byte, sizeof(byte));
	return byte;
}

static inline int64
take_int64(FuzzInput *input)
{
	int64		value;

	take_bytes(input, &value, sizeof(value));
	return value;
}

/*
 * The next text, up to a zero byte or the end, in a block of exactly its size,
 * so that AddressSanitizer sees a byte that is read beside it.  malloc'd.
 */
static inline char *
take_text(FuzzInput *input)
{
	const uint8 *end = input->left > 0 ? memchr(input->data, '\0', input->left) : NULL;
	size_t		length = end != NULL ? (size_t) (end - input->data) : input->left;
	char	   *str = malloc(length + 1);

	take_bytes(input, str, length);
	str[length] = '\0';
	if (end != NULL)
		(void) take_byte(input);
	return str;
}

#endif							/* PMON_FUZZ_H */
