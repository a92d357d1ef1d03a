/* links: pure/client_network.c */
/*-------------------------------------------------------------------------
 *
 * fuzz_network.c
 *	  Client networks: what is read is canonical, and contains what it should.
 *
 * The input is the text of a network, a zero byte, and a client: one byte for
 * its kind, then its address, which is also taken as a socket's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "pure/client_network.h"
#include "fuzz.h"

static bool
bit(const uint8 *address, int number)
{
	return (address[number / 8] >> (7 - number % 8) & 1) != 0;
}

/* What is left of the prefix counts; all else must be zero. */
static void
check_canonical(const PmonNetwork *network)
{
	int			address_bits = network->kind == PMON_CLIENT_INET4 ? 32 : 128;

	if (network->kind == PMON_CLIENT_LOCAL)
		address_bits = 0;
	else
		require(network->kind == PMON_CLIENT_INET4 ||
				network->kind == PMON_CLIENT_INET6, "kind %d", network->kind);
	require(network->bits >= 0 && network->bits <= address_bits,
			"prefix of %d bits", network->bits);
	for (int i = network->bits; i < 128; i++)
		require(!bit(network->address, i), "bit %d is set", i);
}

/* Written as text, it is the same network. */
static void
check_round_trip(const PmonNetwork *network)
{
	char		str[INET6_ADDRSTRLEN + 8] = "local";
	PmonNetwork again;

	if (network->kind != PMON_CLIENT_LOCAL)
	{
		inet_ntop(network->kind == PMON_CLIENT_INET4 ? AF_INET : AF_INET6,
				  network->address, str, sizeof(str));
		sprintf(str + strlen(str), "/%d", network->bits);
	}
	require(pmon_network_parse(str, &again) == PMON_NETWORK_OK &&
			memcmp(&again, network, sizeof(again)) == 0,
			"\"%s\" is not the same", str);
}

/* Is the client in the network?  By its definition, bit by bit. */
static bool
contains(const PmonNetwork *network, const PmonClient *client)
{
	static const uint8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
	const uint8 *address = client->address;
	PmonClientKind kind = client->kind;

	if (network->kind == PMON_CLIENT_INET4 && kind == PMON_CLIENT_INET6 &&
		memcmp(address, mapped, sizeof(mapped)) == 0)
	{
		kind = PMON_CLIENT_INET4;
		address += sizeof(mapped);
	}
	if (kind != network->kind)
		return false;
	for (int i = 0; i < network->bits; i++)
	{
		if (bit(address, i) != bit(network->address, i))
			return false;
	}
	return true;
}

static void
check_client(const PmonNetwork *network, const PmonClient *client)
{
	static const PmonNetwork any = {PMON_CLIENT_UNKNOWN};

	require(pmon_network_contains(network, client) == contains(network, client),
			"wrong about a client");
	require(pmon_network_contains(&any, client), "not in the network of all");
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {data, size};
	char	   *str = take_text(&input);
	struct sockaddr_storage socket;
	PmonNetwork network;
	PmonClient	client;

	memset(&client, 0, sizeof(client));
	client.kind = take_byte(&input) % (PMON_CLIENT_INET6 + 1);
	take_bytes(&input, client.address, sizeof(client.address));
	take_bytes(&input, &socket, sizeof(socket));

	memset(&network, 0x5A, sizeof(network));
	if (pmon_network_parse(str, &network) == PMON_NETWORK_OK)
	{
		check_canonical(&network);
		check_round_trip(&network);
		check_client(&network, &client);

		/* the first client of the network, and one that differs in one bit */
		if (network.kind != PMON_CLIENT_LOCAL)
		{
			uint8		flipped = client.address[0] % 128;

			client.kind = network.kind;
			memcpy(client.address, network.address, sizeof(client.address));
			require(pmon_network_contains(&network, &client), "not its own");
			client.address[flipped / 8] ^= 0x80 >> (flipped % 8);
			check_client(&network, &client);
		}
	}
	free(str);

	pmon_client_from_sockaddr(&socket, &client);
	require(client.kind == (socket.ss_family == AF_UNIX ? PMON_CLIENT_LOCAL :
							socket.ss_family == AF_INET ? PMON_CLIENT_INET4 :
							socket.ss_family == AF_INET6 ? PMON_CLIENT_INET6 :
							PMON_CLIENT_UNKNOWN), "kind of a socket");
	return 0;
}
