/*-------------------------------------------------------------------------
 *
 * end_answer.h
 *	  A session's answer to a request to end, which it does only if it is idle.
 *
 * end_request.h has the protocol.  Nobody but the session itself can know that
 * it is still waiting for its client, with no byte of a next message on the
 * way; so its handler of SIGUSR1 decides, and then makes core's own idle
 * timeout fire.
 *
 * What it can know of the next message.  One that has arrived, in whole or in
 * part, and was not read yet, is in libpq's buffer or in the socket's: the
 * session is spared.  Where the session has read the beginning of a message and
 * waits for the rest, core keeps to itself that it has; so does OpenSSL with
 * the beginning of a record.  Two things still tell:
 *
 * - memory: the message is read into MessageContext, which is empty until then
 *	 but for one block; a message of more than some kilobytes that has begun,
 *	 and whose length has been read, shows, on any kind of connection;
 * - on Linux, over TCP: when the client last sent something.  If that was after
 *	 the session had become idle, and within the last ten seconds, it is sending.
 *	 (Not longer: not every byte belongs to a message that will be complete, and
 *	 a session whose client has stopped half-way is as idle as any other.)
 *
 * What is left: a small message, of which one part arrived within some
 * milliseconds of the session becoming idle, or with the message before it, or
 * through a Unix-domain socket, and the rest did not.  Then the session is
 * ended, as by core's own timeouts, and the message was never executed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_END_ANSWER_H
#define PMON_END_ANSWER_H

/* Install the handler.  Called by a session when it takes its slot. */
extern void pmon_accept_requests(int slot);

/* Refuse what is asked from now on.  Called by a session when it ends. */
extern void pmon_refuse_requests(void);

/* Has this session accepted to end? */
extern bool pmon_has_accepted(void);

/*
 * A statement starts.  Should a session that has accepted ever get that far
 * (nothing known makes it), call it off, so that the statement is not cut, and
 * count it in lost_accepts.
 */
extern void pmon_call_off_accepted(void);

#endif							/* PMON_END_ANSWER_H */
