package headrace.corpus;

/** Has a main, but not the one that Java calls. */
public final class NoMain {

    public static void main(String args) {}

    private NoMain() {}
}
