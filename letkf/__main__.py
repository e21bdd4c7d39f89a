from letkf.command import main

main()
