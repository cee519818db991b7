# This connector by its kernel modules, which it builds when it starts.
# shellcheck shell=bash disable=SC2034
# shellcheck source=/dev/null
. /media/amplab/amp.sh
coverages='all'
source=modules
monitor='<monitor source="modules"/>'
