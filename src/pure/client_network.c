/*-------------------------------------------------------------------------
 *
 * client_network.c
 *	  Where a client comes from, and the networks that it may come from.
 *
 * See client_network.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "pure/client_network.h"

/* Room for the longest IP address as text, and one byte to notice a longer */
#define ADDRESS_LEN		(INET6_ADDRSTRLEN + 1)

/* Is this IPv6 address an IPv4 address in disguise, ::ffff:a.b.c.d? */
static bool
is_mapped_inet4(const uint8 *address)
{
	static const uint8 prefix[12] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF
	};

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

/* Are all bits of the address to the right of the prefix zero? */
static bool
host_bits_zero(const uint8 *address, int address_bits, int prefix_bits)
{
	for (int bit = prefix_bits; bit < address_bits; bit++)
	{
		if (address[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	}
	return true;
}

/* Read what stands after the slash; -1 if it is no prefix length. */
static int
parse_prefix_length(const char *digits, int address_bits)
{
	int			bits = 0;
	Size		length = strlen(digits);

	if (length < 1 || length > 3 || strspn(digits, "0123456789") != length)
		return -1;
	for (Size i = 0; i < length; i++)
		bits = bits * 10 + (digits[i] - '0');

	return bits <= address_bits ? bits : -1;
}

PmonNetworkResult
pmon_network_parse(const char *str, PmonNetwork *network)
{
	char		address[ADDRESS_LEN] = {0};
	Size		length = strcspn(str, "/");
	int			address_bits;

	memset(network, 0, sizeof(*network));

	if (strcmp(str, "local") == 0)
	{
		network->kind = PMON_CLIENT_LOCAL;
		return PMON_NETWORK_OK;
	}

	if (length >= ADDRESS_LEN)
		return PMON_NETWORK_INVALID;
	memcpy(address, str, length);
	if (inet_pton(AF_INET, address, network->address) == 1)
	{
		network->kind = PMON_CLIENT_INET4;
		address_bits = 32;
	}
	else if (inet_pton(AF_INET6, address, network->address) == 1)
	{
		network->kind = PMON_CLIENT_INET6;
		address_bits = 128;
	}
	else
		return PMON_NETWORK_INVALID;

	network->bits = address_bits;
	if (str[length] == '/')
		network->bits = parse_prefix_length(str + length + 1, address_bits);
	if (network->bits < 0)
		return PMON_NETWORK_BAD_PREFIX;
	if (!host_bits_zero(network->address, address_bits, network->bits))
		return PMON_NETWORK_HOST_BITS;

	if (network->kind == PMON_CLIENT_INET6 && network->bits >= 96 &&
		is_mapped_inet4(network->address))
	{
		network->kind = PMON_CLIENT_INET4;
		memcpy(network->address, network->address + 12, 4);
		memset(network->address + 4, 0, 12);
		network->bits -= 96;
	}

	return PMON_NETWORK_OK;
}

/* Do the first bits of both addresses agree? */
static bool
same_prefix(const uint8 *a, const uint8 *b, int bits)
{
	int			bytes = bits / 8;
	uint8		mask = (uint8) (0xFF00 >> (bits % 8));

	if (memcmp(a, b, bytes) != 0)
		return false;
	return bits % 8 == 0 || ((a[bytes] ^ b[bytes]) & mask) == 0;
}

bool
pmon_network_contains(const PmonNetwork *network, const PmonClient *client)
{
	const uint8 *address = client->address;

	switch (network->kind)
	{
		case PMON_CLIENT_UNKNOWN:
			return true;

		case PMON_CLIENT_LOCAL:
			return client->kind == PMON_CLIENT_LOCAL;

		case PMON_CLIENT_INET4:
			if (client->kind == PMON_CLIENT_INET6 && is_mapped_inet4(address))
				address += 12;
			else if (client->kind != PMON_CLIENT_INET4)
				return false;
			break;

		case PMON_CLIENT_INET6:
			if (client->kind != PMON_CLIENT_INET6)
				return false;
			break;
	}

	return same_prefix(network->address, address, network->bits);
}

void
pmon_client_from_sockaddr(const struct sockaddr_storage *addr,
						  PmonClient *client)
{
	memset(client, 0, sizeof(*client));

	switch (addr->ss_family)
	{
		case AF_UNIX:
			client->kind = PMON_CLIENT_LOCAL;
			break;
		case AF_INET:
			client->kind = PMON_CLIENT_INET4;
			memcpy(client->address,
				   &((const struct sockaddr_in *) addr)->sin_addr, 4);
			break;
		case AF_INET6:
			client->kind = PMON_CLIENT_INET6;
			memcpy(client->address,
				   &((const struct sockaddr_in6 *) addr)->sin6_addr, 16);
			break;
		default:
			break;
	}
}
