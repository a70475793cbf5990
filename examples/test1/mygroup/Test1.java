package mygroup;

/** The one class of the dependency {@code test1.jar}. */
public final class Test1 {

    public static String greeting() {
        return "greetings from test1.jar";
    }

    private Test1() {}
}
