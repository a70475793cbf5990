"""The fault suite: breaks whatever a job's life rests on, by a seeded plan, and counts whether a record got lost.

``plan`` says what is broken when, ``kinds`` is the list of faults; ``flink`` carries them out on real jobs, ``fake`` on
the runtime in memory; ``oracle`` judges, ``run`` goes through it all and tells of it.
"""
