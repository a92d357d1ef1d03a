/*-------------------------------------------------------------------------
 *
 * metrics_writer.h
 *	  A background worker that writes the metrics to a file.
 *
 * The file is for node_exporter's textfile collector: the metrics reach Prometheus
 * without a connection, a slot or a port, so also when there is none.  A background
 * worker takes no connection slot.  It runs where pool_monitor.metrics_file is set;
 * worker/writer_keeper.h starts it, by the name of its function.
 *
 * It is connected to the database "postgres", since a diagnosis runs a statement,
 * or to none where that can not be.  Between two writings it has no transaction,
 * so it holds back no vacuum; and the file is written when the transaction has ended.
 *
 * The text is written to another file beside it, which is then renamed: a reader
 * never sees half of it.  Nothing is synced: after a crash of the machine it is of
 * no use anyway.  When it can not be written, the first of several times in a row is
 * a WARNING, and all are counted.
 *
 * Whoever reads the file can not tell a server that is gone from one that stands
 * still, but by the file's age.  So the file is removed when the writer ends, be it by a
 * shutdown, by the setting or by an error; and only a file that it has written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PMON_METRICS_WRITER_H
#define PMON_METRICS_WRITER_H

/*
 * The entry point: the postmaster looks it up by its name.  The argument says
 * whether to do without a database.
 */
extern PGDLLEXPORT void pmon_metrics_writer_main(Datum main_arg);

#endif							/* PMON_METRICS_WRITER_H */
