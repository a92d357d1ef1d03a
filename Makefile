# Makefile for pool_monitor: make, make install, make installcheck

MODULE_big = pool_monitor
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
PG_CPPFLAGS = -I$(srcdir)/src
PGFILEDESC = "pool_monitor - who holds, leaks and needs connections"

EXTENSION = pool_monitor
DATA = $(wildcard sql/pool_monitor--*.sql)

# The server that runs the tests must preload the library.  The inputs are in
# test/sql, the expected outputs in expected/.
REGRESS := $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql))
REGRESS_OPTS = --inputdir=test

PG_CONFIG ?= pg_config

# What is not meant for the server stays within the library, as the server's own
# flags have it from 16 on.
ifneq ($(findstring PostgreSQL 15,$(shell $(PG_CONFIG) --version 2>/dev/null)),)
PG_CPPFLAGS += -fvisibility=hidden -D'PGDLLEXPORT=__attribute__((visibility("default")))'
endif

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no PGXS: set PG_CONFIG, or install postgresql-server-dev-all and libkrb5-dev (Debian, Ubuntu))
endif
include $(PGXS)

# An archive for PGXN, of what is committed
NAME_VERSION = pool_monitor-$(shell sed -nE 's/^   "version": "(.*)",/\1/p' META.json)
dist:
	git archive --format=zip --prefix=$(NAME_VERSION)/ --output=$(NAME_VERSION).zip HEAD
.PHONY: dist

# PGXS tracks headers only where the server was configured with --enable-depend
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h)
