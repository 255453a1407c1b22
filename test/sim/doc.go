// Package sim runs the four loops as they are against a world that is made up: a log with consumer groups, an archive, a store and
// destinations, in which a scheduler decides at every call what becomes of it. Time is a bubble's, so a run of a minute takes
// milliseconds, and the same seed makes the same run.
//
// Whatever the schedule does (answers that are lost, effects that come late, processes killed and stopped between any two calls,
// partitions given to others meanwhile), every run must end as an undisturbed one does; outcome_test.go says what that means.
package sim
