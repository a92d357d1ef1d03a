/*-------------------------------------------------------------------------
 *
 * client_network.h
 *	  Where a client comes from, and the networks that it may come from.
 *
 * Pure functions; nothing here allocates, locks or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_CLIENT_NETWORK_H
#define PMON_CLIENT_NETWORK_H

#include <sys/socket.h>

typedef enum PmonClientKind
{
	PMON_CLIENT_UNKNOWN = 0,	/* no address; as a network: any client */
	PMON_CLIENT_LOCAL,			/* Unix socket */
	PMON_CLIENT_INET4,			/* the first 4 bytes of the address count */
	PMON_CLIENT_INET6			/* all 16 bytes count */
} PmonClientKind;

/* A client's address in network byte order, without its port */
typedef struct PmonClient
{
	PmonClientKind kind;
	uint8		address[16];
} PmonClient;

/* A set of clients: any, those of Unix sockets, or an address with a prefix */
typedef struct PmonNetwork
{
	PmonClientKind kind;
	uint8		address[16];	/* zero to the right of the prefix */
	int			bits;			/* length of the prefix */
} PmonNetwork;

typedef enum PmonNetworkResult
{
	PMON_NETWORK_OK,
	PMON_NETWORK_INVALID,		/* neither "local" nor an IP address */
	PMON_NETWORK_BAD_PREFIX,	/* no prefix length that the address has */
	PMON_NETWORK_HOST_BITS		/* bits set to the right of the prefix */
} PmonNetworkResult;

/*
 * Read "local", an IP address, or a network as ADDRESS/BITS into *network,
 * which is undefined unless the result is PMON_NETWORK_OK.
 *
 * As for the type cidr, bits to the right of the prefix are refused, since
 * one of the two numbers must be a typing error.  A network of IPv4-mapped
 * addresses (::ffff:a.b.c.d) becomes the IPv4 network that it stands for.
 */
extern PmonNetworkResult pmon_network_parse(const char *str,
											PmonNetwork *network);

/*
 * Is the client in the network?  IPv4-mapped IPv6 addresses are also in IPv4
 * networks.  A client without an address is only in a network of any client.
 */
extern bool pmon_network_contains(const PmonNetwork *network,
								  const PmonClient *client);

/*
 * Take over an address as the server keeps it: local for AF_UNIX, unknown for
 * any family other than AF_UNIX, AF_INET and AF_INET6.
 */
extern void pmon_client_from_sockaddr(const struct sockaddr_storage *addr,
									  PmonClient *client);

#endif							/* PMON_CLIENT_NETWORK_H */
