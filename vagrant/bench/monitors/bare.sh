# No monitor at all: its coverage is none once more, which shows how far two measurements of the same host differ.
# shellcheck shell=bash disable=SC2034
packages=''
coverages='none'
log=/dev/null
start() { :; }
stop() { :; }
shown() { :; }
