package headrace.corpus.parts;

/** The library as it was, before it could be touched. */
public final class Part {}
