package headrace.corpus.parts;

/** A library that a job needs, in a JAR of its own. */
public final class Part {

    public void touch() {}
}
